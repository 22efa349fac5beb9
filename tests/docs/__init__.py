"""Tests of the pages: commands, code, links, the site."""
