"""Statistics against scipy, statsmodels, closed forms and simulation."""
