"""aixtivd: the one local owner of a person's OAuth2 credentials. Read app.py first."""
