"""Filters of instruction data: each looks at one answer and says why it should not be taught, or nothing."""
