"""What is declared, as data: specs, tables, figures, printed numbers, profiles."""
