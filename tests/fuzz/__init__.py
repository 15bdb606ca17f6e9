"""Damaged folders, damaged checkpoints and wrong command lines, drawn by a seed: none may crash, hang, fill the memory,
run code, or give other numbers.
"""
