"""How the starter model is made: phrases, synthetic speech, training, export and evaluation.

Nothing here is imported by the server. `training.grammar` needs only the standard library, so tests and demos
can draw the same phrases that the model knows.
"""
