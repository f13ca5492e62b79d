"""Recorded streams: their sound in numbers, cut into segments, repeats found, words judged."""
