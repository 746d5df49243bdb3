"""What only some devices have, and the runtime on drivers that are not there."""
