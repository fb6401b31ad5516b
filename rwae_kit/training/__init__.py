"""How a model learns: schedules, the loop, and what happens beside it. Import what you need from its modules."""
