"""Pure decisions: facts about a file and a machine, and a request, become a plan. No I/O, no clock, no chance."""
