"""How fast the network runs here, how much memory it takes, and how far each way deviates; every way in a process of its own."""
