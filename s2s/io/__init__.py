"""The only code that writes artefacts: atomic files, locks, digests."""
