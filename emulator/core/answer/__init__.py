"""From what was granted to a timeline: built-in and computed answers, rendering, and answers compiled to bytes."""
