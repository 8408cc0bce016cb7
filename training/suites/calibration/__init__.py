"""Do stated probabilities mean what they say? P(this sample is right) by what it is predicted from.

`kinds` one subject per kind of evidence · `fold` everything predicted for the samples of one fold's queries ·
`states` hidden vectors · `figures` from decision rows and the recording alone · `suite` the command. To add a subject,
give `kinds` a line.
"""
