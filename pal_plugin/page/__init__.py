"""The page on which people answer questions: its server, who may use it, and the pictures it shows."""
