from x import (
  a,  # c
  b as app
)
x = '''
class handler'''
class Handler(B):
