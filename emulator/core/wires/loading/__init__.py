"""From the file of a wire to what reads and writes by it, with every problem and its place."""
