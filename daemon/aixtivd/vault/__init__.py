"""The sealed store on disk. It knows rows of bytes, not OAuth."""
