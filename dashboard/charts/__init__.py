"""Pure functions: data in (types of `trainer.schema`), a plotly Figure out. No streamlit here."""
