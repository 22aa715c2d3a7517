#include "tools/ctl/nearest.h"

#include <stdio.h>
#include <string.h>

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_WORD + 1], n = strlen(b);

	if (strlen(a) > NEAREST_WORD || n > NEAREST_WORD)
		return NEAREST_WORD;
	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= n; k++) {
			size_t change = diagonal + (a[i - 1] != b[k - 1]), shorter = row[k] + 1,
			       longer = row[k - 1] + 1;

			diagonal = row[k];
			row[k] = change < shorter ? change : shorter;
			row[k] = row[k] < longer ? row[k] : longer;
		}
	}
	return row[n];
}

void nearest_to(struct nearest *nearest, const char *said)
{
	*nearest = (struct nearest){.said = said, .distance = NEAREST_CHANGES + 1};
}

void nearest_try(struct nearest *nearest, const char *name)
{
	size_t d = distance(nearest->said, name);

	/* what shares no letter is not meant, however short both are */
	if (d >= nearest->distance || d >= strlen(nearest->said))
		return;
	nearest->distance = d;
	snprintf(nearest->name, sizeof(nearest->name), "%s", name);
}
