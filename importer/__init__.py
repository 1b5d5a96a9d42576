"""Candidate spreadsheets become interview-scheduling conversations."""
