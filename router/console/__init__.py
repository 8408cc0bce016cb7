"""The console: what the service does, in a browser; mounted at /console by the HTTP door.

Pages are plain files beside this one (HTML, CSS, ES modules, inline SVG): no build step, nothing from elsewhere, so
that it works without a network. Every number comes from the Admin service, whose calls are reached as
`POST /console/api/CALL` with JSON; the figures of the last rows are computed in the page (`figures.js`).

    app.js        the frame: pages by the part behind #, the clock that asks again, mode and theme
    state.js      what is known now, and who asks for it
    figures.js    from rows to what is drawn: spending, price, frontier, reliability
    charts.js     figures as SVG, each with the same numbers as a table
    page_*.js     one page each
    parts.js      what several pages show: badges, samples as votes, bars
    dom.js        elements; text is only ever set as text, since queries come from strangers
"""
