"""What a job that runs unattended needs: lock, log, memory of small facts."""
