"""What good input is: columns, codes, the Pandera schemas and the template models."""
