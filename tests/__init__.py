"""Tests of the template: of its hooks, of what it renders, and of the projects that come out."""
