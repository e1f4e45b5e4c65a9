"""Who is calling, what a ticket lets them do, and the log of what they did."""
