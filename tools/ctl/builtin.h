/* builtin.h: what api.describe said when this program was built; help and completion need no daemon then. */
#pragma once

/** JSON text, made by tools/manual. */
extern const char builtin_methods[];
