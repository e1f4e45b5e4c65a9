"""What other libraries take from aixtiv, one module each. None of those libraries is needed until it is used."""
