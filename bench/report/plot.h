/*
 * plot.h: a report as pictures, drawn by gnuplot.
 */
#pragma once

#include "bench/report/report.h"

/**
 * Draws what the report has figures for into `dir` (made when it is not there): for each picture NAME.svg,
 * NAME.png and the gnuplot script NAME.gp with its data, so that it can be drawn again differently. Returns
 * 0; -1 when something failed, which has been said on stderr.
 */
int plot_report(const struct report *r, const char *dir);
