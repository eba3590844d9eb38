"""From landed records to exact bounded tables, in memory."""
