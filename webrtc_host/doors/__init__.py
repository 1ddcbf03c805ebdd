"""Every way in, one file each; each ends in a Channel."""
