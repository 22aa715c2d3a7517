/* chance.h: hosts that start together, or lose the same server, must not all ask again at the same moment. Any thread. */
#pragma once

/** One of `least` to `most`, each as likely as the others. */
unsigned chance_between(unsigned least, unsigned most);
