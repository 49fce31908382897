"""What Lightning calls while a run trains: records, reports and checkpoints."""
