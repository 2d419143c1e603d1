// compare: float32 logits in NumPy's format against another such file, or against a golden digest.
//
//     compare A.npy B.npy BOUND            every element within BOUND
//     compare A.npy FILE.golden BOUND      shape, and the elements in the digest (oracle.py)
//     compare A.npy OTHER BOUND relative   the length of all differences, as a part of OTHER's
//     compare A.npy B.npy BOUND kl         the mean over rows of KL(softmax B || softmax A), in
//     nats
//
// Prints the largest difference and where, the root of the mean square, the relative length, and,
// where it is asked for, the divergence. Exit 1 when a difference is above BOUND or not a number,
// or shapes differ; 2 when a file cannot be read. Alone, without the project's code: an oracle's
// half.
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Matrix {
    long rows, columns;
    float *elements;
} Matrix;

typedef struct Worst {
    double difference, squares, expected_squares;
    long row, column, compared;
} Worst;

static void refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

// Version 1 of the format: magic, two version bytes, u16 header length, a Python dictionary.
static Matrix read_npy(const char *path)
{
    unsigned char start[10];
    char header[65536] = {0};
    Matrix matrix = {0};
    FILE *file = fopen(path, "rb");
    if (!file || fread(start, 1, sizeof start, file) != sizeof start ||
        memcmp(start, "\x93NUMPY\x01", 7) != 0)
        refuse("%s: cannot be read as .npy, version 1", path);
    size_t length = (size_t)(start[8] | start[9] << 8);
    if (fread(header, 1, length, file) != length || !strstr(header, "'<f4'") ||
        !strstr(header, "'fortran_order': False"))
        refuse("%s: not float32 in C order: %s", path, header);
    if ((length + sizeof start) % 16 != 0 || header[length - 1] != '\n')
        refuse("%s: the header does not end as the format wants", path);
    const char *shape = strstr(header, "'shape': (");
    if (!shape || sscanf(shape, "'shape': (%ld, %ld)", &matrix.rows, &matrix.columns) != 2)
        refuse("%s: not a matrix: %s", path, header);
    size_t count = (size_t)matrix.rows * (size_t)matrix.columns;
    matrix.elements = malloc(count * sizeof *matrix.elements);
    if (!matrix.elements || fread(matrix.elements, sizeof *matrix.elements, count, file) != count ||
        fgetc(file) != EOF)
        refuse("%s: the data is not %ld times %ld floats", path, matrix.rows, matrix.columns);
    fclose(file);
    return matrix;
}

static void look(Worst *worst, const Matrix *matrix, long row, long column, double expected)
{
    double got = (double)matrix->elements[row * matrix->columns + column];
    double difference = isfinite(got) ? fabs(got - expected) : INFINITY;
    worst->compared++;
    worst->squares += difference * difference;
    worst->expected_squares += expected * expected;
    if (difference <= worst->difference)
        return;
    worst->difference = difference;
    worst->row = row;
    worst->column = column;
}

static void check_shape(const char *path, const Matrix *matrix, long rows, long columns)
{
    if (matrix->rows == rows && matrix->columns == columns)
        return;
    printf("%s has shape %ld %ld, expected %ld %ld\n", path, matrix->rows, matrix->columns, rows,
           columns);
    exit(1);
}

static void compare_golden(Worst *worst, const char *path, const Matrix *matrix, const char *golden)
{
    char line[65536];
    long rows = 0, columns = 0, row, column;
    double expected;
    FILE *file = fopen(golden, "r");
    if (!file)
        refuse("%s: cannot be read", golden);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "shape %ld %ld", &rows, &columns) == 2)
            check_shape(path, matrix, rows, columns);
        else if (sscanf(line, "%ld %ld %lf", &row, &column, &expected) == 3 && row >= 0 &&
                 row < rows && column >= 0 && column < columns)
            look(worst, matrix, row, column, expected);
        else if (line[0] != '#' && strncmp(line, "ids ", 4) != 0)
            refuse("%s: what is this? %s", golden, line);
    }
    fclose(file);
}

// log of the sum of e^logit over a row.
static double log_sum(const float *logits, long count)
{
    double highest = -INFINITY, sum = 0;
    for (long i = 0; i < count; i++)
        highest = fmax(highest, (double)logits[i]);
    for (long i = 0; i < count; i++)
        sum += exp((double)logits[i] - highest);
    return highest + log(fmax(sum, 1)); // the highest alone adds 1
}

// Kullback-Leibler: what is lost by believing `got` where `expected` is true.
static double divergence(const float *got, const float *expected, long count)
{
    double got_sum = log_sum(got, count), expected_sum = log_sum(expected, count), sum = 0;
    for (long i = 0; i < count; i++) {
        double log_expected = (double)expected[i] - expected_sum;
        sum += exp(log_expected) * (log_expected - ((double)got[i] - got_sum));
    }
    return sum;
}

// Returns the mean divergence of the rows where it is asked for, else 0.
static double compare_matrix(Worst *worst, const char *path, const Matrix *matrix,
                             const char *other, bool kl)
{
    Matrix expected = read_npy(other);
    double sum = 0;
    check_shape(path, matrix, expected.rows, expected.columns);
    for (long row = 0; row < matrix->rows; row++) {
        const float *truth = expected.elements + row * matrix->columns;
        for (long column = 0; column < matrix->columns; column++)
            look(worst, matrix, row, column, (double)truth[column]);
        if (kl)
            sum += divergence(matrix->elements + row * matrix->columns, truth, matrix->columns);
    }
    free(expected.elements);
    return sum / (double)matrix->rows;
}

int main(int argc, char **argv)
{
    bool relative = argc == 5 && strcmp(argv[4], "relative") == 0;
    bool kl = argc == 5 && strcmp(argv[4], "kl") == 0;
    if (argc != 4 && !relative && !kl)
        refuse("usage: compare A.npy B.npy|FILE.golden BOUND [relative|kl]");
    Matrix matrix = read_npy(argv[1]);
    Worst worst = {.difference = -1};
    size_t length = strlen(argv[2]);
    double mean = 0;
    if (length > 4 && strcmp(argv[2] + length - 4, ".npy") == 0)
        mean = compare_matrix(&worst, argv[1], &matrix, argv[2], kl);
    else if (kl)
        refuse("%s: a digest has no whole rows to take a divergence of", argv[2]);
    else
        compare_golden(&worst, argv[1], &matrix, argv[2]);
    double length_ratio = sqrt(worst.squares / worst.expected_squares);
    printf("largest difference %.7g at %ld %ld, rms %.3g, relative %.3g, of %ld", worst.difference,
           worst.row, worst.column, sqrt(worst.squares / (double)worst.compared), length_ratio,
           worst.compared);
    printf(kl ? ", divergence %.3g\n" : "\n", mean);
    free(matrix.elements);
    double difference = relative ? length_ratio : kl ? mean : worst.difference;
    return worst.compared && difference <= strtod(argv[3], NULL) ? 0 : 1;
}
