"""`aixtiv setup`: other tools' settings, changed in sight of the person, and back again."""
