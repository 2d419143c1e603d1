// How a Check program ends: its main returns what one of these returns.
#ifndef TESTS_UNIT_RUN_SUITE_H
#define TESTS_UNIT_RUN_SUITE_H

#include <check.h>

// Runs the suite and frees it; the exit status of the program.
int run_suite(Suite *suite);
// The same for a suite of one test case.
int run_cases(const char *name, TCase *cases);

#endif
