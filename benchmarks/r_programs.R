# Times one program of R on one case: each repetition perturbs the response.
#   Rscript r_programs.R PROGRAM FORMULA RESPONSE DATA.csv REPEATS SEED OUT.json
arguments <- commandArgs(trailingOnly = TRUE)
program <- arguments[1]
response <- arguments[3]
repeats <- as.integer(arguments[5])
model <- as.formula(arguments[2])

# attached, for stan_lmer looks for stan_glmer on the search path
suppressPackageStartupMessages(library(program, character.only = TRUE))

read <- function(path) {
  if (requireNamespace("data.table", quietly = TRUE)) {
    as.data.frame(data.table::fread(path))
  } else {
    read.csv(path)
  }
}
data <- read(arguments[4])
original <- data[[response]]

fit_lme4 <- function() {
  lme4::lmer(model, data = data)
}
fit_rstanarm <- function() {
  rstanarm::stan_lmer(model, data = data, chains = 4, iter = 2000, refresh = 0,
                      cores = parallel::detectCores())
}

# the smallest ESS and largest R-hat, without the log posterior and the predictive mean
is_effect <- function(names) startsWith(names, "b[")
judge <- function(fit) {
  found <- as.data.frame(summary(fit))
  found <- found[!rownames(found) %in% c("mean_PPD", "log-posterior"), ]
  list(rhat = max(found$Rhat), ess = min(found$n_eff[!is_effect(rownames(found))]),
       ess_effects = min(found$n_eff))
}

one_run <- function(number) {
  set.seed(number)
  data[[response]] <<- original + 1e-6 * sd(original) * rnorm(length(original))
  fit <- if (program == "lme4") fit_lme4 else fit_rstanarm
  seconds <- system.time(found <- fit())[["elapsed"]]
  c(list(seconds = seconds), if (program == "rstanarm") judge(found))
}

seed <- as.integer(arguments[6])
# untimed: loads the packages, which takes no more rows than these
all_data <- data
data <- data[seq_len(min(nrow(data), 20000L)), ]
original <- data[[response]]
invisible(one_run(seed - 1L))
data <- all_data
original <- data[[response]]
runs <- lapply(seed - 1L + seq_len(repeats), one_run)
version <- as.character(packageVersion(program))
jsonlite::write_json(list(runs = runs, version = version), arguments[7],
                     auto_unbox = TRUE, digits = NA)
