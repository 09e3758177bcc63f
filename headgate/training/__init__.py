"""Learning the difficulty model from judgements. Needs numpy, and is never imported by a gateway."""
