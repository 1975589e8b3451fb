"""What both edges send and wait with: writers and deadlines."""
