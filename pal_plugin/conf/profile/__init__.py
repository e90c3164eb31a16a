"""How much of it: debug, smoke, cpu, paper."""
