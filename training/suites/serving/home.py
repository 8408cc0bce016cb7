"""Where the served configurations live: one bundle, and the same plans over instant and over paced backends.

Everything is on that a service in production has on: callers say who they are, a budget is watched, every decision is
logged in full, and metrics are counted and shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from router.auth.tokens import entry_text, hash_of, new_token
from router.config import BudgetConfig, Config, MetricsConfig, StoreConfig
from router.config_access import AuthConfig
from router.configuration.file import load
from router.recording import Recording
from training.fit.from_recordings import fit
from training.menu import menu_of
from training.menu_toml import toml_of

HOUSE = Path(__file__).resolve().parents[2] / "recordings" / "house"
FITTED_ON = 400  # queries: a decision takes as long with a bundle fitted on more
PRICE = 6000.0  # quality per dollar: between always small and always large
ANSWER = "Add both and take the half of it. The answer is 42."
DOLLARS = 1e6  # a budget that is watched and never reached
POLICY: Mapping[str, object] = {"kind": "softmax", "explore": 0.1, "temperature": 0.1, "floor": 0.01}
TOKENS = "tokens.toml"
STREAMED_TOKENS = 4096  # a sample of the paced backend may be so long


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with a bundle; configurations are written into it."""

    folder: Path
    menu: Config
    token: str  # of the callers

    @property
    def bundle(self) -> Path:
        """What was learned."""
        return self.folder / "bundle"

    def instant(self, name: str = "instant", **changes: object) -> Path:
        """A router.toml whose backends answer at once, without leaving the process."""
        backends = {
            backend: replace(section, kind="scripted", recording="", script=(ANSWER,))
            for backend, section in self.menu.backends.items()
        }
        return self._written(name, replace(self.menu, backends=backends, **changes))

    def paced(self, url: str, name: str = "paced", **changes: object) -> Path:
        """A router.toml whose backends are a model server at `url`."""
        backends = {
            backend: replace(
                section, kind="vllm", recording="", urls=(url,), model="stub", max_tokens=STREAMED_TOKENS
            )
            for backend, section in self.menu.backends.items()
        }
        return self._written(name, replace(self.menu, backends=backends, **changes))

    def _written(self, name: str, config: Config) -> Path:
        path = self.folder / f"{name}.toml"
        store = StoreConfig(sqlite=f"{name}.db", keep="full")
        budget = BudgetConfig(dollars=DOLLARS)
        metrics, auth = MetricsConfig(listen="127.0.0.1:0"), AuthConfig(tokens=TOKENS)
        on = replace(config, store=store, budget=budget, metrics=metrics, auth=auth)
        path.write_text(toml_of(on), "utf-8")
        load(path)  # a mistake is told here, not by a server that does not start
        return path


def made_home(folder: Path, seed: int) -> Home:
    """Fit the bundle on some of the house recording's queries, by a minute of one core."""
    recording = Recording.load(HOUSE)
    menu = menu_of(recording, HOUSE, price=PRICE, seed=seed)
    token = new_token()
    (folder / TOKENS).write_text(entry_text(hash_of(token), "load", "caller", ""), "utf-8")
    home = Home(folder, replace(menu, bundle="bundle", policy=POLICY), token)
    if not home.bundle.is_dir():
        fit([recording], [query.query_id for query in recording.queries[:FITTED_ON]], menu, seed, home.bundle)
    return home
