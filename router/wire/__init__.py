"""Between protobuf and our words; one file per message family. Only doors and clients import it."""
