"""What gives trainers: processes of this machine."""
