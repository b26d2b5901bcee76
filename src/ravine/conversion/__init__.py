"""What a conversion is made of: rows read backwards, equals, schedules step by step, and how far two runs part."""
