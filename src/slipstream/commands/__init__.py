"""The commands: each a function from references and plans to values, without Keras."""
