"""Carbon intensity by place, with provenance."""
