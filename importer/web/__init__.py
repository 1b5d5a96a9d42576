"""The recruiter's page: upload a list, put it right, send it, and watch it."""
