"""Retention: so many hourly, daily, weekly, monthly and yearly sets are kept, and the others deleted."""
