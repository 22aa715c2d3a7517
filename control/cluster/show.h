/* show.h: results of the methods, of a struct cluster. */
#pragma once

#include <jansson.h>

json_t *cluster_show_status(void *cluster);
json_t *cluster_show_hosts(void *cluster);
json_t *cluster_show_keys(void *cluster);
