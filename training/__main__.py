"""`python -m training …`: the same commands as `apportion …`."""

from __future__ import annotations

from router.__main__ import main

if __name__ == "__main__":
    main()
