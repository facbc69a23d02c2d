#!/usr/bin/env node
require('./start.cjs')('gantry-agent')
