"""Lightning callbacks of attacks and trainings."""
