"""What every tab shares: the bench, records of the log, turns, components and endpoints."""
